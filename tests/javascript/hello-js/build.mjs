// Builds the component: `node build.mjs` writes it to the file named on the command line, by
// default ../../../target/components/hello-js.wasm. Nothing is fetched while it runs.
//
// The engine inside the component exports `wasi:http@0.2.10`, and a world that asks for another
// patch version is refused. The interfaces of the repository are the same but for that number.
import { componentize } from '@bytecodealliance/componentize-js';
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';

const ENGINE_VERSION = '0.2.10';
const VERSION = /\b0\.2\.12\b/g;

// The build's parser leaves unstable interfaces out, and stumbles over worlds that import them.
const UNSTABLE_IMPORT = /^ *@unstable\(.*\)\n *import .*;\n/gm;

const here = import.meta.dirname;
const wasi = resolve(here, '../../../wit/deps/wasi-0.2');
const output = resolve(process.argv[2] ?? join(here, '../../../target/components/hello-js.wasm'));

const wit = await mkdtemp(join(tmpdir(), 'hello-js-wit-'));
try {
  await writeFile(join(wit, 'world.wit'), await readFile(join(here, 'world.wit')));
  for (const file of (await readdir(wasi)).filter((name) => name.endsWith('.wit'))) {
    const folder = join(wit, 'deps', basename(file, '.wit'));
    const text = await readFile(join(wasi, file), 'utf8');
    await mkdir(folder, { recursive: true });
    const stable = text.replaceAll(UNSTABLE_IMPORT, '');
    await writeFile(join(folder, file), stable.replaceAll(VERSION, ENGINE_VERSION));
  }
  const { component } = await componentize({
    sourcePath: join(here, 'src/service.js'),
    witPath: wit,
    worldName: 'service',
  });
  // Under its name it appears whole: a host may be watching.
  await mkdir(dirname(output), { recursive: true });
  const partial = `${output}.partial`;
  await writeFile(partial, component);
  await rename(partial, output);
  console.log(`${output}: ${(component.length / 1e6).toFixed(1)} MB`);
} finally {
  await rm(wit, { recursive: true });
}
