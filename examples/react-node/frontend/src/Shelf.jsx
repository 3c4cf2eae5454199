import { useEffect, useState } from "react";

export function Shelf() {
  const [books, setBooks] = useState([]);
  const [title, setTitle] = useState("");

  async function load() {
    setBooks(await (await fetch("/api/books")).json());
  }

  async function add(event) {
    event.preventDefault();
    await fetch("/api/books", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ title }),
    });
    setTitle("");
    await load();
  }

  useEffect(() => void load(), []);

  return (
    <>
      <h1>{books.length} books</h1>
      <ul>
        {books.map((book) => (
          <li key={book.id}>{book.title}</li>
        ))}
      </ul>
      <form onSubmit={add}>
        <input value={title} onChange={(event) => setTitle(event.target.value)} placeholder="another book" />
        <button disabled={!title.trim()}>Put it on the shelf</button>
      </form>
    </>
  );
}
