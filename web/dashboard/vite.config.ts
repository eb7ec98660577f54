// How the dashboard is built and, during development, where its API calls go.
//
// `base: './'` makes every address relative, so the same build works at `/` and behind a proxy
// below any prefix.
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const controlPlane = process.env.CONTROL_PLANE ?? 'http://127.0.0.1:8081';

export default defineConfig({
  base: './',
  plugins: [react()],
  build: {
    // Icons may be data: addresses under the policy of the control plane; scripts and fonts may not.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 400,
  },
  server: {
    proxy: { '/api': controlPlane, '/services': controlPlane, '/login': controlPlane },
  },
  test: {
    include: ['src/**/*.test.ts'],
  },
});
