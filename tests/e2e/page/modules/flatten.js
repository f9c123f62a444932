// Build one MP4 from the parts of a film in a folder, with the code of the page: `node flatten.js PARTS FILM`.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Film } from "../../../../src/livereactor/playground/js/media/mp4-film.js";
import { mimeType } from "../../../../src/livereactor/playground/js/media/mp4-fragments.js";

const [folder, target] = process.argv.slice(2);
const [init, ...parts] = readdirSync(folder)
  .sort()
  .map((name) => new Uint8Array(readFileSync(join(folder, name))));
const film = new Film(init);
const bodies = parts.flatMap((part) => film.add(part));
writeFileSync(target, Buffer.concat([film.head(), ...bodies]));
console.log(mimeType(init));
