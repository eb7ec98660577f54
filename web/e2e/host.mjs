// Hosts that tests start themselves, because they need an application file of their own.
//
// WASM_HOST       the host's program (default: the one that cargo xtask build makes)
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const target = (path) => fileURLToPath(new URL(`../../target/${path}`, import.meta.url));
const program = process.env.WASM_HOST || target('debug/wasm-host');
// A first start compiles every component, a first test an instance of it.
const limitMs = 120_000;

/** The file of one of the application's components. */
export const component = (name) => target(`components/${name}.wasm`);

/** A host with this application file, in a folder of its own. */
export async function startHost(text) {
  const folder = await mkdtemp(join(tmpdir(), 'wasm-host-e2e-'));
  await writeFile(join(folder, 'wasm-host.toml'), text);
  const serve = ['serve', 'wasm-host.toml', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
  const host = spawn(program, serve, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  const served = new Promise((resolve, reject) => {
    createInterface({ input: host.stderr }).on('line', (line) => {
      log += `${line}\n`;
      const [, port] = line.match(/^Serving HTTP on http:\/\/127\.0\.0\.1:(\d+)\//) ?? [];
      if (port) resolve(port);
    });
    host.on('error', reject);
    host.on('exit', (code) => reject(new Error(`the host ended with ${code}:\n${log}`)));
  });
  const tooLate = setTimeout(() => host.kill('SIGKILL'), limitMs);
  const port = await served;
  clearTimeout(tooLate);

  /** Runs another command of the program in the folder; whether it succeeded, and what it said. */
  const run = (...args) =>
    new Promise((resolve) => {
      execFile(program, args, { cwd: folder, timeout: limitMs }, (error, stdout, stderr) => {
        resolve({ succeeded: error === null, text: stdout + stderr });
      });
    });

  const stop = async () => {
    if (host.exitCode === null && host.signalCode === null) {
      host.removeAllListeners('exit');
      host.kill('SIGTERM');
      await once(host, 'exit');
    }
    await rm(folder, { recursive: true });
  };

  return { folder, port, run, stop, url: (path) => `http://127.0.0.1:${port}${path}` };
}
