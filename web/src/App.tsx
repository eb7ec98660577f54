// Puts the sections together and holds what they share: the models, the active one, the pull.
import { useCallback, useState } from 'react';
import { ChatSection } from './chat/ChatSection';
import { fetchModels, findModel } from './models/library';
import { ModelsSection } from './models/ModelsSection';
import { usePull } from './models/usePull';
import { useLoad } from './shared/useLoad';
import { WeatherSection } from './weather/WeatherSection';

export function App() {
  const library = useLoad(fetchModels);
  const [chosen, setChosen] = useState<string>();
  // Derived, not stored: a chosen model that is no longer installed cannot stay active.
  const models = library.data ?? [];
  const active = (chosen !== undefined ? findModel(models, chosen) : undefined) ?? models[0];

  const { reload } = library;
  const onPulled = useCallback(
    async (model: string) => {
      await reload();
      setChosen(model);
    },
    [reload],
  );
  const pull = usePull(onPulled);

  const pullFromChat = (model: string) => {
    pull.start(model);
    // On a phone the progress is far above the chat.
    document.getElementById('models')?.scrollIntoView({ block: 'nearest' });
  };
  return (
    <>
      <header className="page-header">
        <h1>
          <Logo />
          Aspiring Ollama
        </h1>
        <nav aria-label="Sections">
          <a href="#weather">Weather</a>
          <a href="#models">Models</a>
          <a href="#chat">Chat</a>
        </nav>
      </header>
      <main>
        <WeatherSection />
        <ModelsSection library={library} active={active?.name} onChoose={setChosen} pull={pull} />
        <ChatSection model={active?.name} onPull={pullFromChat} />
      </main>
    </>
  );
}

function Logo() {
  return (
    <svg className="logo" viewBox="0 0 32 32" aria-hidden="true">
      <path className="logo-outer" d="M16 2l12 7v14l-12 7-12-7V9z" />
      <path className="logo-inner" d="M16 9l6 3.5v7L16 23l-6-3.5v-7z" />
    </svg>
  );
}
