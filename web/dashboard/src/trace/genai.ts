// A call of a model, read from the attributes of its span (OpenTelemetry's gen_ai.*).
import type { Span } from '../api/types';

export interface ModelCall {
  readonly operation: string;
  readonly model: string;
  readonly provider: string | undefined;
  readonly inputTokens: number | undefined;
  readonly outputTokens: number | undefined;
  /** Seconds from the request to the first piece of the answer. */
  readonly firstChunk: number | undefined;
  readonly tokensPerSecond: number | undefined;
  /** Undefined when messages are not captured. */
  readonly messages: readonly Message[] | undefined;
}

export interface Message {
  readonly role: string;
  readonly parts: readonly MessagePart[];
}

export interface MessagePart {
  readonly type: 'text' | 'reasoning' | 'tool_call' | 'tool_call_response' | 'other';
  readonly text: string;
  readonly name: string | undefined;
}

export function modelCall(span: Span): ModelCall | undefined {
  const { attributes } = span;
  const operation = text(attributes['gen_ai.operation.name']);
  const model = text(attributes['gen_ai.request.model']) ?? text(attributes['gen_ai.response.model']);
  if (operation === undefined && model === undefined) return undefined;
  const outputTokens = number(attributes['gen_ai.usage.output_tokens']);
  const firstChunk = number(attributes['gen_ai.response.time_to_first_chunk']);
  const input = messages(attributes['gen_ai.input.messages']);
  const output = messages(attributes['gen_ai.output.messages']);
  return {
    operation: operation ?? 'call',
    model: model ?? 'unknown model',
    provider: text(attributes['gen_ai.provider.name']),
    inputTokens: number(attributes['gen_ai.usage.input_tokens']),
    outputTokens,
    firstChunk,
    tokensPerSecond: speed(span.duration, firstChunk, outputTokens),
    messages: input || output ? [...(input ?? []), ...(output ?? [])] : undefined,
  };
}

/** Tokens after the first piece by the time after it; the wait before it is another figure. */
function speed(micros: number, firstChunk: number | undefined, tokens: number | undefined) {
  if (tokens === undefined || tokens === 0) return undefined;
  const seconds = micros / 1_000_000 - (firstChunk ?? 0);
  return seconds > 0 ? tokens / seconds : undefined;
}

/** JSON text, or the value itself; what is neither is shown as it is rather than lost. */
function messages(value: unknown): Message[] | undefined {
  if (value === undefined || value === null) return undefined;
  let list: unknown = value;
  if (typeof value === 'string') {
    try {
      list = JSON.parse(value);
    } catch {
      return [{ role: 'unknown', parts: [{ type: 'other', text: value, name: undefined }] }];
    }
  }
  return (Array.isArray(list) ? list : [list]).map(message);
}

function message(value: unknown): Message {
  const object = fields(value);
  const role = text(object.role) ?? 'unknown';
  if (Array.isArray(object.parts)) return { role, parts: object.parts.map(part) };
  const content = text(object.content);
  if (content !== undefined) return { role, parts: [{ type: 'text', text: content, name: undefined }] };
  return { role, parts: [{ type: 'other', text: JSON.stringify(value) ?? '', name: undefined }] };
}

function part(value: unknown): MessagePart {
  const object = fields(value);
  const name = text(object.name);
  const content = object.content ?? object.text;
  switch (object.type) {
    case 'text':
    case 'reasoning':
      return { type: object.type, text: text(content) ?? '', name };
    case 'tool_call':
      return { type: 'tool_call', text: pretty(object.arguments), name };
    case 'tool_call_response':
      return { type: 'tool_call_response', text: pretty(object.response ?? object.result ?? content), name };
    default:
      return { type: 'other', text: pretty(value), name };
  }
}

function pretty(value: unknown): string {
  if (typeof value === 'string') return value;
  return JSON.stringify(value, null, 2) ?? '';
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
