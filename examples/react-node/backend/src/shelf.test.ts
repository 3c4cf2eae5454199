import assert from "node:assert";
import { test } from "node:test";
import { Shelf } from "./shelf";

test("books get numbers in their order", () => {
  const shelf = new Shelf(["Emma"]);
  assert.deepStrictEqual(shelf.add("  Persuasion "), { id: 2, title: "Persuasion" });
  assert.strictEqual(shelf.all().length, 2);
});

test("a book without a title is refused", () => {
  assert.throws(() => new Shelf().add("  "), RangeError);
});
