// Builds the component: `node build.mjs` writes it to the file named on the command line, by
// default ../../../target/components/blocking-js.wasm. Nothing is fetched while it runs.
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

// Of the host's packages all that a component without async functions can use.
const BLOCKING = ['types.wit', 'blocking.wit'];

const here = import.meta.dirname;
const interfaces = resolve(here, '../../../wit');
const output = resolve(
  process.argv[2] ?? join(here, '../../../target/components/blocking-js.wasm'),
);

const wit = await mkdtemp(join(tmpdir(), 'blocking-js-wit-'));
try {
  await writeFile(join(wit, 'world.wit'), await readFile(join(here, 'world.wit')));
  const wasi = join(interfaces, 'deps/wasi-0.2');
  for (const file of (await readdir(wasi)).filter((name) => name.endsWith('.wit'))) {
    const text = await readFile(join(wasi, file), 'utf8');
    const stable = text.replaceAll(UNSTABLE_IMPORT, '');
    await put(basename(file, '.wit'), file, stable.replaceAll(VERSION, ENGINE_VERSION));
  }
  for (const granted of ['postgres', 'ollama']) {
    for (const file of BLOCKING) {
      await put(granted, file, await readFile(join(interfaces, granted, file)));
    }
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

async function put(name, file, text) {
  const folder = join(wit, 'deps', name);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, file), text);
}
