// The installed models and the questions the page asks about them.
import { UnexpectedAnswer } from '../api/failure';
import { getJson } from '../api/http';
import { isObject, type JsonObject } from '../api/ndjson';

export interface Model {
  readonly name: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly modifiedAt: string;
  readonly family: string;
  readonly parameterSize: string;
  readonly quantization: string;
  readonly format: string;
}

export async function fetchModels(signal: AbortSignal): Promise<Model[]> {
  return parseModels(await getJson('ollama/api/tags', signal));
}

/** Only the name is needed to use a model; Ollama leaves out what it does not know. */
export function parseModels(value: unknown): Model[] {
  if (!isObject(value) || !(Array.isArray(value.models) || value.models === null)) {
    throw new UnexpectedAnswer('The model list has no "models"');
  }
  return (value.models ?? []).map((model: unknown) => {
    if (!isObject(model) || typeof model.name !== 'string' || model.name === '') {
      throw new UnexpectedAnswer('A model of the list has no name');
    }
    const details = isObject(model.details) ? model.details : {};
    return {
      name: model.name,
      digest: text(model, 'digest'),
      sizeBytes: typeof model.size === 'number' ? model.size : 0,
      modifiedAt: text(model, 'modified_at'),
      family: text(details, 'family'),
      parameterSize: text(details, 'parameter_size'),
      quantization: text(details, 'quantization_level'),
      format: text(details, 'format'),
    };
  });
}

function text(object: JsonObject, key: string): string {
  const value = object[key];
  return typeof value === 'string' ? value : '';
}

/** Ollama adds ":latest" to a name without a tag and ignores case. */
export function findModel(models: readonly Model[], name: string): Model | undefined {
  const wanted = canonical(name);
  return models.find((model) => canonical(model.name) === wanted);
}

function canonical(name: string): string {
  const lower = name.trim().toLowerCase();
  const lastPart = lower.slice(lower.lastIndexOf('/') + 1);
  return lastPart.includes(':') ? lower : `${lower}:latest`;
}

/** The stand-in that ships with the host and answers when no Ollama runs. */
export function isDemo(name: string): boolean {
  return name.toLowerCase().startsWith('demo');
}

/** The demo service knows no real models, so beside it its own second model comes first. */
export function suggestions(models: readonly Model[]): string[] {
  const known = ['qwen2:0.5b', 'qwen2:1.5b', 'phi3:latest', 'llama3.1:latest'];
  if (models.some((model) => isDemo(model.name))) known.unshift('demo:tiny');
  return known.filter((name) => !findModel(models, name));
}
