// What the control plane answers. Times and durations are microseconds, times since 1970 UTC.

export interface Session {
  readonly csrf: string;
  readonly application: string;
  readonly version: string;
  /** How to switch telemetry on; null where it is. */
  readonly telemetry_off: string | null;
}

export interface ServiceResource {
  readonly service: string;
  readonly kind: 'component' | 'static';
  readonly route: string | null;
  readonly version: string | null;
  readonly canary: string | null;
  readonly state: 'running' | 'canary' | 'standing in' | 'no database';
  readonly address: string;
  readonly instances: number;
  readonly in_flight: number;
  readonly queued: number;
  readonly served: number;
  readonly failed: number;
  readonly refused: number;
  readonly cancelled: number;
  readonly rate: number;
  readonly errors: number;
  readonly p50: number | null;
  readonly p99: number | null;
  readonly grants: readonly string[];
  /** What each replica serves; missing without `[replicas]`. */
  readonly replicas?: readonly ReplicaStatus[];
}

/** One service on one replica. */
export interface ReplicaStatus {
  readonly replica: string;
  /** Counts up with every version that all replicas put into service; null before it serves any. */
  readonly generation: number | null;
  /** `lost`: its lease has ended, a while ago at most. */
  readonly state: 'serving' | 'joining' | 'lost';
  /** What is left of its lease, in milliseconds. */
  readonly lease_ms: number;
}

export interface BackendResource {
  readonly backend: string;
  readonly kind: string;
  readonly state: 'up' | 'standing in' | 'down';
  readonly detail: string | null;
  readonly calls: number;
  readonly rate: number;
  readonly errors: number;
  readonly p50: number | null;
  readonly p99: number | null;
}

export interface Edge {
  readonly from: string;
  readonly to: string;
  readonly rate: number;
  readonly errors: number;
}

export interface Resources {
  readonly application: string;
  readonly host: {
    readonly version: string;
    readonly started: number;
    readonly address: string;
    readonly pid: number;
    readonly memory: number;
  };
  readonly services: readonly ServiceResource[];
  /** What telemetry is kept of beside them: programs and pages outside, the host, services of before. */
  readonly others: readonly string[];
  readonly backends: readonly BackendResource[];
  readonly edges: readonly Edge[];
}

export type Verdict = 'activated' | 'canary' | 'rejected' | 'taken-back' | 'unchanged';

/** One attempt to put a version into service. This one endpoint is older and counts milliseconds. */
export interface Attempt {
  readonly number: number;
  readonly digest: string | null;
  readonly path: string;
  readonly cause: string;
  readonly verdict: Verdict;
  readonly reason: string | null;
  readonly at_ms: number;
  readonly took_ms: number;
  readonly imports_added: readonly string[];
  readonly imports_removed: readonly string[];
  readonly served: number | null;
  readonly drained_in_ms: number | null;
  readonly cut: number | null;
}

export interface SwapOutcome extends Attempt {
  readonly service: string;
  readonly from: string;
  readonly finishing: number;
  readonly ended_canary: string | null;
}

export interface VersionCounts {
  readonly version: string;
  readonly state: 'serving' | 'canary' | 'draining';
  readonly in_flight: number;
  readonly served: number;
  readonly errors: number;
  readonly instances: number;
  /** Of the last minute: in a second, and times of answers; null without any. */
  readonly rate: number;
  readonly p50: number | null;
  readonly p99: number | null;
}

export interface ResourceDetails {
  readonly service: ServiceResource;
  readonly imports: readonly string[];
  readonly grants: readonly string[];
  readonly limits: readonly { key: string; value: string; source: string; what: string }[];
  readonly environment: readonly {
    name: string;
    value: string | null;
    secret: boolean;
    source: string;
  }[];
  readonly health: {
    readonly path: string | null;
    /** A version that is not well is not put into service. */
    readonly state: 'healthy' | 'unknown';
    readonly detail: string | null;
    readonly checked: number | null;
  };
  readonly history: readonly Attempt[];
  /** Missing in what a host of before answers. */
  readonly granted?: readonly { grant: string; state: string | null; detail: string | null }[];
  readonly failures: readonly {
    time: number;
    trace: string | null;
    status: number;
    message: string;
    path?: string | null;
    reason?: string | null;
  }[];
  readonly versions: readonly VersionCounts[];
}

export type Level = 'error' | 'warn' | 'info' | 'debug' | 'trace';

export interface LogLine {
  readonly id: number;
  readonly time: number;
  readonly level: Level;
  readonly service: string | null;
  readonly version: string | null;
  readonly request: string | null;
  readonly trace: string | null;
  readonly span: string | null;
  readonly source: string;
  readonly stream: 'stdout' | 'stderr' | null;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface TraceSummary {
  readonly trace: string;
  readonly start: number;
  readonly duration: number;
  readonly name: string;
  readonly path?: string | null;
  readonly service: string;
  readonly status: number | null;
  readonly error: boolean;
  readonly spans: number;
  readonly errors: number;
  readonly services: readonly { service: string; spans: number; errors: number }[];
  readonly why: string;
}

export interface SpanEvent {
  readonly time: number;
  readonly name: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

export interface Span {
  readonly span: string;
  readonly parent: string | null;
  readonly name: string;
  readonly kind: string;
  readonly service: string;
  readonly version: string | null;
  readonly scope: string;
  readonly start: number;
  readonly duration: number;
  readonly status: 'unset' | 'ok' | 'error';
  readonly message: string | null;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: readonly SpanEvent[];
  readonly links: readonly { trace: string; span: string }[];
}

export interface Trace {
  readonly trace: string;
  readonly start: number;
  readonly duration: number;
  readonly dropped: number;
  readonly spans: readonly Span[];
  readonly logs: readonly LogLine[];
  readonly recording: { readonly id: string } | null;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
  readonly dropped?: number;
}

export interface Instrument {
  readonly name: string;
  readonly kind: 'histogram' | 'counter' | 'gauge';
  readonly unit: string;
  readonly description: string;
  readonly dimensions: Readonly<Record<string, readonly string[]>>;
  readonly overflow: boolean;
}

/** Counters and gauges: time, value. Histograms: time, count per second, p50, p90, p99. */
export type Point = readonly (number | null)[];

export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly points: readonly Point[];
}

export interface Exemplar {
  readonly time: number;
  readonly value: number;
  readonly trace: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface MetricData {
  readonly name: string;
  readonly kind: Instrument['kind'];
  readonly unit: string;
  readonly step: number;
  readonly series: readonly Series[];
  readonly exemplars?: readonly Exemplar[];
}

export interface SearchResult {
  readonly services: readonly { service: string }[];
  readonly traces: readonly TraceSummary[];
  readonly logs: readonly LogLine[];
}

export interface Recordings {
  readonly recording: readonly {
    service: string;
    left: number;
    only: 'all' | 'failures';
    since: number;
  }[];
  readonly items: readonly RecordedRequest[];
}

export interface RecordedRequest {
  readonly id: string;
  readonly time: number;
  readonly service: string;
  readonly trace: string | null;
  readonly name: string;
  readonly status: number | null;
  readonly error: boolean;
  readonly file: string | null;
}
