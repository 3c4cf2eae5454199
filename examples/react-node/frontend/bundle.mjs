import { cp } from "node:fs/promises";
import * as esbuild from "esbuild";

await cp("public", "dist", { recursive: true });
const result = await esbuild.build({
  entryPoints: { shelf: "src/index.jsx" },
  outdir: "dist/assets",
  bundle: true,
  minify: true,
  jsx: "automatic",
  define: { "process.env.NODE_ENV": JSON.stringify("production") },
  metafile: true,
});
for (const [file, { bytes }] of Object.entries(result.metafile.outputs)) {
  console.log(`${file} ${(bytes / 1024).toFixed(1)} kB`);
}
