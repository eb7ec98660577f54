import { expect, test } from 'vitest';
import { span } from '../testkit';
import { modelCall } from './genai';

const call = (attributes: Record<string, unknown>, duration = 2_000_000) =>
  modelCall(span('a', { duration, attributes }));

test('a span of something else is no model call', () => {
  expect(call({ 'db.system.name': 'postgresql' })).toBeUndefined();
});

test('tokens per second are counted from the first token on', () => {
  const read = call({
    'gen_ai.operation.name': 'chat',
    'gen_ai.request.model': 'm',
    'gen_ai.usage.output_tokens': 30,
    'gen_ai.response.time_to_first_chunk': 0.5,
  });
  expect(read).toMatchObject({
    model: 'm',
    outputTokens: 30,
    firstChunk: 0.5,
    tokensPerSecond: 20,
    messages: undefined,
  });
});

test('messages are read as text and as values, with tools', () => {
  const output = [
    {
      role: 'assistant',
      parts: [
        { type: 'reasoning', content: 'hm' },
        { type: 'tool_call', name: 'weather', arguments: { city: 'Bern' } },
        { type: 'image', uri: 'x' },
      ],
    },
    { role: 'tool', parts: [{ type: 'tool_call_response', response: 'sunny' }] },
  ];
  const read = call({
    'gen_ai.operation.name': 'chat',
    'gen_ai.input.messages': '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]',
    'gen_ai.output.messages': output,
  });
  expect(read?.messages?.map((message) => message.role)).toEqual(['user', 'assistant', 'tool']);
  expect(read?.messages?.[1]?.parts.map((part) => part.type)).toEqual(['reasoning', 'tool_call', 'other']);
  expect(read?.messages?.[1]?.parts[1]).toMatchObject({ name: 'weather', text: '{\n  "city": "Bern"\n}' });
  expect(read?.messages?.[2]?.parts[0]?.text).toBe('sunny');
});

test('what is cut off or of another form is shown as it is', () => {
  const read = call({
    'gen_ai.operation.name': 'chat',
    'gen_ai.input.messages': '[{"role":"us',
    'gen_ai.output.messages': '{"role":"assistant","content":"old form"}',
  });
  expect(read?.messages?.map((message) => message.parts[0]?.text)).toEqual(['[{"role":"us', 'old form']);
});
