// Swaps of the fake host: every file that begins as WebAssembly does is a good version.
import { createHash } from 'node:crypto';
import { history } from './resources.mjs';

export class Versions {
  constructor(resources, nowMs) {
    this.resources = resources;
    this.histories = new Map();
    for (const { service, kind } of resources.services) {
      if (kind === 'component') this.histories.set(service, history(service, nowMs));
    }
    this.canaries = new Map();
  }

  details(name) {
    const attempts = this.histories.get(name);
    if (!attempts) return { history: [], versions: [] };
    const service = this.resources.services.find((one) => one.service === name);
    const serving = {
      version: service.version,
      state: 'serving',
      in_flight: service.in_flight,
      served: service.served,
      errors: service.failed,
      instances: service.instances,
      rate: service.rate,
      p50: service.p50,
      p99: service.p99,
    };
    const canary = this.canaries.get(name);
    return { history: attempts, versions: canary ? [serving, canary] : [serving] };
  }

  async answer(request, response, asked, query, body, json, Problem, changed) {
    if (asked === 'GET services') return json(response, this.resources.services);
    const [, name, action] = /services\/([^/]+)\/(\w+)$/.exec(asked) ?? [];
    const attempts = this.histories.get(name);
    if (!attempts) throw new Problem(404, 'There is no such service', name);
    const service = this.resources.services.find((one) => one.service === name);
    if (action === 'history') return json(response, attempts);
    if (action === 'drain') return json(response, { service: name, instances: service.instances });
    const from = service.version.padEnd(64, '0');
    const put = (more) => {
      const attempt = {
        number: attempts.length + 1,
        path: 'the uploaded file',
        cause: query.get('cause') ?? 'control plane',
        verdict: 'activated',
        reason: null,
        at_ms: Date.now(),
        took_ms: 412,
        imports_added: [],
        imports_removed: [],
        served: null,
        drained_in_ms: null,
        cut: null,
        ...more,
      };
      attempts.push(attempt);
      changed();
      const status = attempt.verdict === 'rejected' ? 422 : 200;
      json(
        response,
        { service: name, from, ...attempt, finishing: service.in_flight, ended_canary: null },
        {},
        status,
      );
    };
    const endCanary = () => {
      this.canaries.delete(name);
      service.canary = null;
      service.state = 'running';
    };
    if (action === 'rollback') {
      if (this.canaries.has(name)) {
        endCanary();
        return put({ digest: from, verdict: 'unchanged' });
      }
      const before = attempts.filter((one) => one.verdict === 'activated').at(-2);
      if (!before) throw new Problem(409, 'There is no version before this one');
      service.version = before.digest.slice(0, 12);
      return put({ digest: before.digest });
    }
    const bytes = await body(request);
    const digest = createHash('sha256').update(bytes).digest('hex');
    if (bytes.subarray(0, 4).toString('latin1') !== '\0asm') {
      return put({ digest, verdict: 'rejected', reason: 'the uploaded file is no WebAssembly component' });
    }
    if (query.get('canary')) {
      service.canary = `${digest.slice(0, 12)} (${query.get('canary')})`;
      service.state = 'canary';
      this.canaries.set(name, {
        version: digest.slice(0, 12),
        state: 'canary',
        in_flight: 1,
        served: 38,
        errors: 2,
        instances: 1,
        rate: 0.6,
        p50: 2_400,
        p99: 31_000,
      });
      return put({ digest, verdict: 'canary' });
    }
    service.version = digest.slice(0, 12);
    put({ digest });
  }
}
