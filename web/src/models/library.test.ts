// Names are compared as Ollama compares them, or a pulled model would not be found again.
import { expect, test } from 'vitest';
import { UnexpectedAnswer } from '../api/failure';
import { findModel, isDemo, parseModels, suggestions } from './library';

const models = (...names: string[]) => parseModels({ models: names.map((name) => ({ name })) });

test('reads a full entry and one with only a name', () => {
  const details = { family: 'qwen2', parameter_size: '494M', quantization_level: 'Q4_0', format: 'gguf' };
  const full = { name: 'qwen2:0.5b', size: 5, digest: 'ab', modified_at: '2026-01-01T00:00:00Z', details };
  expect(parseModels({ models: [full, { name: 'x' }] })).toMatchObject([
    { name: 'qwen2:0.5b', sizeBytes: 5, family: 'qwen2', parameterSize: '494M', quantization: 'Q4_0' },
    { name: 'x', sizeBytes: 0, family: '' },
  ]);
});

test('no models is an empty list, anything else is an error', () => {
  expect(parseModels({ models: [] })).toEqual([]);
  expect(parseModels({ models: null })).toEqual([]);
  for (const value of [{}, [], null, { models: 'x' }, { models: [{}] }]) {
    expect(() => parseModels(value)).toThrow(UnexpectedAnswer);
  }
});

test.each([
  ['phi3', 'phi3:latest'],
  ['PHI3:Latest ', 'phi3:latest'],
  ['host:5000/team/phi3', 'host:5000/team/phi3:latest'],
])('%s is found as %s', (asked, listed) => {
  expect(findModel(models('other:1', listed), asked)?.name).toBe(listed);
});

test('a tag is part of the name', () => {
  expect(findModel(models('qwen2:0.5b'), 'qwen2')).toBeUndefined();
});

test('suggests what is not installed, and the second demo model beside the first', () => {
  expect(suggestions(models('phi3:latest'))).toEqual(['qwen2:0.5b', 'qwen2:1.5b', 'llama3.1:latest']);
  expect(suggestions(models('demo:latest'))[0]).toBe('demo:tiny');
  expect(suggestions(models('demo:latest', 'demo:tiny'))[0]).toBe('qwen2:0.5b');
});

test('knows the demo by its name', () => {
  expect(isDemo('demo:latest')).toBe(true);
  expect(isDemo('qwen2:0.5b')).toBe(false);
});
