// A recorded request as a case of a test.
import { useCallback, useState } from 'react';
import { getText, sendJson } from '../api/client';
import { type ApiFailure, asFailure } from '../api/failure';
import { Dialog } from '../shared/Dialog';
import { FailureNotice } from '../shared/Notices';
import { useLoad } from '../shared/useLoad';

export function SaveCaseButton({ id, title = 'Save as case' }: { id: string; title?: string }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" onClick={() => setOpen(true)}>
        {title}
      </button>
      {open && <SaveCaseDialog id={id} onClose={() => setOpen(false)} />}
    </>
  );
}

function SaveCaseDialog({ id, onClose }: { id: string; onClose: () => void }) {
  const [folder, setFolder] = useState('');
  const [file, setFile] = useState<string>();
  const [failure, setFailure] = useState<ApiFailure>();
  const [busy, setBusy] = useState(false);
  const path = `api/recordings/${encodeURIComponent(id)}`;
  const load = useCallback((signal: AbortSignal) => getText(path, signal), [path]);
  const preview = useLoad(load);

  const save = async () => {
    setBusy(true);
    setFailure(undefined);
    try {
      const body = folder.trim() === '' ? {} : { folder: folder.trim() };
      const saved = await sendJson<{ file: string }>('POST', `${path}/save`, {}, body);
      setFile(saved.file);
    } catch (error) {
      setFailure(asFailure(error));
    } finally {
      setBusy(false);
    }
  };

  return (
    <Dialog title="Save as case" onClose={onClose} className="case">
      <p className="dialog-text">
        The request, its answer, and what the backends said, as a case that <code>wasm-host test</code>{' '}
        replays.
      </p>
      {preview.failure && <FailureNotice failure={preview.failure} onRetry={preview.reload} />}
      <pre className="message-block case-text" tabIndex={0} role="region" aria-label="The case file">
        {preview.data ?? (preview.loading ? 'Reading…' : '')}
      </pre>
      {failure && <FailureNotice failure={failure} />}
      {file !== undefined && (
        <p className="notice good" role="status">
          <span>
            Written to <code>{file}</code>
          </span>
        </p>
      )}
      <footer>
        <label className="select">
          <span>Folder</span>
          <input
            type="text"
            placeholder="the component's own"
            value={folder}
            onChange={(event) => setFolder(event.target.value)}
          />
        </label>
        <span className="spacer" />
        <button
          type="button"
          className="primary"
          disabled={busy || preview.data === undefined}
          onClick={() => void save()}
        >
          Save
        </button>
      </footer>
    </Dialog>
  );
}
