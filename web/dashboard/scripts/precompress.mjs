// Writes a .br and a .gz beside every text asset of the build and says how large it is in all.
//
// The files never change once built, so the slowest and best compression is paid for here once
// and the host only picks a file by Accept-Encoding.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

const dist = fileURLToPath(new URL('../dist', import.meta.url));
const textTypes = new Set(['.html', '.js', '.css', '.svg', '.json']);

const brotli = (bytes) =>
  promisify(brotliCompress)(bytes, {
    params: {
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  });
const gz = (bytes) => promisify(gzip)(bytes, { level: constants.Z_BEST_COMPRESSION });

let total = 0;
for (const entry of await readdir(dist, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !textTypes.has(extname(entry.name))) continue;
  const path = join(entry.parentPath, entry.name);
  const bytes = await readFile(path);
  const [br, gzipped] = await Promise.all([brotli(bytes), gz(bytes)]);
  await Promise.all([writeFile(`${path}.br`, br), writeFile(`${path}.gz`, gzipped)]);
  total += gzipped.length;
  console.log(`${path.slice(dist.length + 1)}  ${bytes.length} B, br ${br.length}, gz ${gzipped.length}`);
}
console.log(`all of it: gz ${total}`);
