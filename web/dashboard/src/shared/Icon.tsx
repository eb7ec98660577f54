// The few pictures of the page, drawn as strokes in the colour of the text.
const paths = {
  resources: 'M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z',
  console: 'M4 5h16v14H4zM7 9l3 3-3 3M12 15h5',
  logs: 'M5 6h14M5 10h14M5 14h9M5 18h11',
  traces: 'M4 6h9M8 11h9M11 16h9',
  metrics: 'M4 19h16M5 15l4-5 4 3 6-8',
  versions:
    'M7 5v14M7 9h6a4 4 0 0 1 4 4v6M7 5m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0M17 19m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0',
  recordings: 'M12 12m-8 0a8 8 0 1 0 16 0a8 8 0 1 0-16 0M12 12m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0',
  search: 'M11 11m-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0M15.5 15.5L20 20',
  close: 'M6 6l12 12M18 6L6 18',
  chevron: 'M9 6l6 6-6 6',
  back: 'M15 6l-6 6 6 6',
  pause: 'M9 6v12M15 6v12',
  play: 'M8 5l11 7-11 7z',
  wrap: 'M4 6h16M4 12h13a3 3 0 0 1 0 6h-5M14 15.5L11.5 18l2.5 2.5M4 18h4',
  download: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  clear: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13',
  error: 'M12 4l9 16H3zM12 10v5M12 17.5v.5',
  help: 'M12 12m-9 0a9 9 0 1 0 18 0a9 9 0 1 0-18 0M9.5 9.5a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8M12 16.5v.5',
  settings: 'M4 7h10M18 7h2M16 5v4M4 17h2M10 17h10M8 15v4M4 12h6M14 12h6M12 10v4',
  database: 'M5 6a7 2.5 0 1 0 14 0a7 2.5 0 1 0-14 0M5 6v12a7 2.5 0 0 0 14 0V6M5 12a7 2.5 0 0 0 14 0',
  model: 'M12 4l7 4v8l-7 4-7-4V8zM12 12l7-4M12 12v8M12 12L5 8',
  refresh: 'M19 8a8 8 0 1 0 1 6M19 3v5h-5',
  done: 'M5 12l5 5 9-10',
  copy: 'M9 9h10v11H9zM5 15V4h10',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}
