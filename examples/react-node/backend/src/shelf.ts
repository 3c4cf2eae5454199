export interface Book {
  id: number;
  title: string;
}

/** Books in the order in which they came. */
export class Shelf {
  private readonly books: Book[] = [];

  constructor(titles: string[] = []) {
    titles.forEach((title) => this.add(title));
  }

  all(): readonly Book[] {
    return this.books;
  }

  add(title: string): Book {
    const clean = title.trim();
    if (!clean) {
      throw new RangeError("a book has a title");
    }
    const book = { id: this.books.length + 1, title: clean };
    this.books.push(book);
    return book;
  }
}
