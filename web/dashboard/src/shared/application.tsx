// What every page knows: the session, and the live state of services and backends.
import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from 'react';
import { getAgain } from '../api/client';
import type { Resources, Session } from '../api/types';
import { colourClass } from './colours';
import { type StreamState, useFollow } from './useFollow';

export interface Application {
  readonly session: Session;
  readonly resources: Resources | undefined;
  /** The application's, and behind them what else telemetry is kept of: what comes never changes their colours. */
  readonly services: readonly string[];
  readonly stream: StreamState;
  retry(): void;
}

const Context = createContext<Application | undefined>(undefined);

const refreshMs = 2000;
// Every window shows it all the time, and there are not connections for as many streams.
const again = (address: string, signal: AbortSignal) => getAgain(address, refreshMs, signal);

export function ApplicationProvider({ session, children }: { session: Session; children: ReactNode }) {
  const [resources, setResources] = useState<Resources>();
  const onItem = useCallback((item: Resources) => setResources(item), []);
  const { stream, retry } = useFollow<Resources>('api/resources', onItem, undefined, again);
  const names = resources === undefined ? '' : namesOf(resources).join('\n');
  const services = useMemo(() => (names === '' ? [] : names.split('\n')), [names]);
  return <Context value={{ session, resources, services, stream, retry }}>{children}</Context>;
}

export function namesOf({ services, others }: Pick<Resources, 'services' | 'others'>): readonly string[] {
  return [...services.map((service) => service.service).sort(), ...[...others].sort()];
}

export function useApplication(): Application {
  const application = useContext(Context);
  if (!application) throw new Error('outside of ApplicationProvider');
  return application;
}

export function useColour(): (service: string | null) => string {
  const { services } = useApplication();
  return useCallback((service) => colourClass(service, services), [services]);
}
