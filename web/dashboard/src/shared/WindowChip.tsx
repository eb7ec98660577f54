// Says that only a part of the past is shown, and takes that back.
import { useSettings } from './settings';
import { clock } from './time';
import { useRoute, useSetParams } from './useRoute';

export function WindowChip() {
  const { query } = useRoute();
  const { zone } = useSettings();
  const setParams = useSetParams();
  const until = Number(query.get('until'));
  if (!query.has('until') || !Number.isFinite(until)) return null;
  const since = Number(query.get('since'));
  const from = query.has('since') && Number.isFinite(since) ? clock(since, zone).slice(0, 8) : '';
  return (
    <button type="button" className="chip" onClick={() => setParams({ since: undefined, until: undefined })}>
      {from} – {clock(until, zone).slice(0, 8)} <span aria-hidden="true">×</span>
      <span className="hidden-text">show any time</span>
    </button>
  );
}
