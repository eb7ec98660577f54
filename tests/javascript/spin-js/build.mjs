// Builds the component: `node build.mjs FILE`. Nothing is fetched while it runs.
//
// Spin's build looks in package.json for the interfaces that each package wraps. Not every mirror of npm has all of its
// packages: what `world.wit` names are the interfaces that the others wrap, from the folder of this repository.
import { SpinEsbuildPlugin } from '@spinframework/build-tools/plugins/esbuild/index.js';
import { build } from 'esbuild';
import { execFileSync } from 'node:child_process';
import { copyFile, cp, mkdir, mkdtemp, rename, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const INTERFACES = ['fermyon', 'postgres-3'];

const here = import.meta.dirname;
const packages = join(here, 'node_modules');
const output = resolve(process.argv[2] ?? join(here, '../../../target/components/spin-js.wasm'));

// The build writes beside what it reads.
const folder = await mkdtemp(join(tmpdir(), 'spin-js-'));
try {
  await copyFile(join(here, 'package.json'), join(folder, 'package.json'));
  await symlink(packages, join(folder, 'node_modules'));
  await mkdir(join(folder, 'wit/deps'), { recursive: true });
  await copyFile(join(here, 'world.wit'), join(folder, 'wit/world.wit'));
  for (const name of INTERFACES) {
    const from = join(here, '../../../wit/spin', name);
    await cp(from, join(folder, 'wit/deps', name), { recursive: true });
  }
  process.chdir(folder);
  await build({
    absWorkingDir: folder,
    entryPoints: [join(here, 'src/service.js')],
    bundle: true,
    format: 'esm',
    outfile: 'bundle.js',
    plugins: [await SpinEsbuildPlugin()],
  });
  const built = join(folder, 'whole.wasm');
  // It ends well whatever happens; what it made tells.
  execFileSync(join(packages, '.bin/j2w'), ['-i', 'bundle.js', '-o', built], { stdio: 'inherit' });
  const { size } = await stat(built);
  // Under its name it appears whole: a host may be watching.
  await mkdir(dirname(output), { recursive: true });
  const partial = `${output}.partial`;
  await copyFile(built, partial);
  await rename(partial, output);
  console.log(`${output}: ${(size / 1e6).toFixed(1)} MB`);
} finally {
  process.chdir(here);
  await rm(folder, { recursive: true });
}
