// The conversation with the active model.
import { isDemo } from '../models/library';
import { demoNote } from '../models/ModelList';
import { Composer } from './Composer';
import { MessageView } from './MessageView';
import { messagesOf } from './transcript';
import { useChat } from './useChat';
import { useFollow } from './useFollow';

interface Props {
  readonly model: string | undefined;
  readonly onPull: (model: string) => void;
}

export function ChatSection({ model, onPull }: Props) {
  const chat = useChat();
  const messages = model === undefined ? [] : messagesOf(chat.transcripts, model);
  const follow = useFollow(messages);
  const answeringHere = chat.answering !== undefined && chat.answering === model;
  const lastId = messages.at(-1)?.id;

  return (
    <section id="chat" className="panel chat" aria-labelledby="chat-title" tabIndex={-1}>
      <header className="panel-header">
        <div>
          <h2 id="chat-title">Chat</h2>
          {model !== undefined && (
            <p className="quiet">
              with <strong>{model}</strong>
            </p>
          )}
        </div>
        {model !== undefined && messages.length > 0 && !answeringHere && (
          <button type="button" onClick={() => chat.clear(model)}>
            New chat
          </button>
        )}
      </header>
      {model !== undefined && isDemo(model) && <p className="demo-note">{demoNote}</p>}
      <p role="status" className="visually-hidden">
        {chat.answering !== undefined && `${chat.answering} is answering`}
      </p>
      {model === undefined ? (
        <p className="empty">Choose or pull a model, then ask it something.</p>
      ) : (
        <>
          <div className="transcript-frame">
            <div
              ref={follow.ref}
              className="transcript"
              role="log"
              aria-label={`Conversation with ${model}`}
              onScroll={follow.onScroll}
              // Scrollable, so it must be reachable by keyboard.
              tabIndex={0}
            >
              {messages.length === 0 && (
                <p className="empty">Ask something below. The model is told the whole conversation.</p>
              )}
              {messages.map((message) => (
                <MessageView
                  key={message.id}
                  message={message}
                  onRetry={
                    message.id === lastId && chat.answering === undefined
                      ? () => chat.retry(model, message.id)
                      : undefined
                  }
                  onPull={() => onPull(model)}
                />
              ))}
            </div>
            {!follow.following && (
              <button type="button" className="to-end" onClick={follow.toEnd}>
                Newest ↓
              </button>
            )}
          </div>
          {chat.answering !== undefined && !answeringHere && (
            <p className="quiet">{chat.answering} is still answering; stop it to ask here.</p>
          )}
          <Composer
            answering={chat.answering !== undefined}
            onSend={(prompt) => {
              const taken = chat.send(model, prompt);
              // Whoever asks wants to see the answer, wherever they had scrolled to.
              if (taken) follow.toEnd();
              return taken;
            }}
            onStop={chat.stop}
          />
        </>
      )}
    </section>
  );
}
