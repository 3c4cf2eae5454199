import path from "node:path";
import express from "express";
import { Shelf } from "./shelf";

const shelf = new Shelf(["The Sea, the Sea", "Moby-Dick"]);
const app = express();

app.use(express.json());
app.use(express.static(path.join(__dirname, "..", "public")));

app.get("/api/books", (_request, response) => {
  response.json(shelf.all());
});

app.post("/api/books", (request, response) => {
  try {
    response.status(201).json(shelf.add(String(request.body.title ?? "")));
  } catch (error) {
    response.status(400).json({ error: (error as Error).message });
  }
});

const port = Number(process.env.PORT ?? 3000);
const server = app.listen(port, () => console.log(`listening on port ${port}`));
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => server.close(() => process.exit(0)));
}
