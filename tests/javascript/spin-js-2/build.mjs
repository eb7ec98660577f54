// Builds the component with the SDK, which brings the interfaces: `node build.mjs FILE`. Nothing is fetched while it runs.
import { build } from 'esbuild';
import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const here = import.meta.dirname;
const output = resolve(process.argv[2] ?? join(here, '../../../target/components/spin-js-2.wasm'));

const folder = await mkdtemp(join(tmpdir(), 'spin-js-2-'));
try {
  const [bundle, built] = [join(folder, 'bundle.js'), join(folder, 'whole.wasm')];
  await build({
    absWorkingDir: here,
    entryPoints: ['src/service.js'],
    bundle: true,
    format: 'esm',
    outfile: bundle,
    external: ['fermyon:*', 'wasi:*'],
  });
  const made = ['-i', bundle, '-o', built, '--trigger-type', 'spin-http'];
  execFileSync(join(here, 'node_modules/.bin/j2w'), made, { stdio: 'inherit' });
  const { size } = await stat(built);
  // Under its name it appears whole: a host may be watching.
  await mkdir(dirname(output), { recursive: true });
  const partial = `${output}.partial`;
  await copyFile(built, partial);
  await rename(partial, output);
  console.log(`${output}: ${(size / 1e6).toFixed(1)} MB`);
} finally {
  await rm(folder, { recursive: true });
}
