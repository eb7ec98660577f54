// A call of a model as the conversation that it was.
import { Properties } from '../shared/Properties';
import { count, duration } from '../shared/time';
import type { Message, ModelCall } from './genai';

const partNames: Readonly<Record<string, string>> = {
  reasoning: 'Thinking',
  tool_call: 'Tool call',
  tool_call_response: 'Tool result',
};

export function Conversation({ call, micros }: { call: ModelCall; micros: number }) {
  const tokens = (value: number | undefined) => (value === undefined ? '–' : count(value));
  return (
    <section className="conversation" aria-label="Conversation">
      <ul className="figures">
        <Figure name="Input tokens" value={tokens(call.inputTokens)} />
        <Figure name="Output tokens" value={tokens(call.outputTokens)} />
        <Figure
          name="First token"
          value={call.firstChunk === undefined ? '–' : duration(call.firstChunk * 1e6)}
        />
        <Figure
          name="Tokens/s"
          value={call.tokensPerSecond === undefined ? '–' : call.tokensPerSecond.toFixed(1)}
        />
        <Figure name="Duration" value={duration(micros)} />
      </ul>
      <Properties
        rows={[
          ['Model', call.model],
          ['Operation', call.operation],
          ['Provider', call.provider],
        ]}
      />
      {call.messages === undefined ? (
        <p className="quiet">
          The messages are not recorded. Set <code>capture-messages = true</code> in the application file to
          keep them.
        </p>
      ) : (
        <ol className="messages">
          {call.messages.map((message, index) => (
            <Bubble key={index} message={message} />
          ))}
        </ol>
      )}
    </section>
  );
}

function Figure({ name, value }: { name: string; value: string }) {
  return (
    <li>
      <strong>{value}</strong>
      <span>{name}</span>
    </li>
  );
}

function Bubble({ message }: { message: Message }) {
  return (
    <li className={`bubble ${message.role}`}>
      <span className="role">{message.role}</span>
      {message.parts.map((part, index) =>
        part.type === 'text' ? (
          <p key={index}>{part.text}</p>
        ) : (
          <div key={index} className={`part ${part.type}`}>
            <span className="part-name">
              {partNames[part.type] ?? 'Part'}
              {part.name !== undefined && ` ${part.name}`}
            </span>
            <pre>{part.text}</pre>
          </div>
        ),
      )}
    </li>
  );
}
