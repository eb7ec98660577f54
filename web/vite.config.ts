// How the page is built and, during development, where its API calls go.
//
// `base: './'` makes every address relative, so the same build works at `/`, under a route
// prefix, or behind somebody else's reverse proxy.
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const host = 'http://127.0.0.1:8080';

export default defineConfig({
  base: './',
  plugins: [react()],
  build: {
    // A data: font or script would need a weaker Content-Security-Policy than `default-src 'self'`.
    assetsInlineLimit: 0,
  },
  server: {
    // The prefixes stay: stripping them is the router's job, as in production.
    proxy: { '/weather': host, '/ollama': host },
  },
  test: {
    include: ['src/**/*.test.ts'],
  },
});
