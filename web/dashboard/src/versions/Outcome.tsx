// What came of a swap.
import type { SwapOutcome } from '../api/types';
import { counted, duration } from '../shared/time';
import { shortDigest, VerdictBadge } from './HistoryTable';

export function Outcome({ outcome }: { outcome: SwapOutcome }) {
  const bad = outcome.verdict === 'rejected' || outcome.verdict === 'taken-back';
  const from = shortDigest(outcome.from);
  const to = shortDigest(outcome.digest);
  const took = duration(outcome.took_ms * 1000);
  const { finishing: running } = outcome;
  const finishing = `${counted(running, 'request')} ${running === 1 ? 'finishes' : 'finish'}`;
  const sentence: Readonly<Record<typeof outcome.verdict, string>> = {
    activated: `${from} → ${to} in ${took}; ${finishing} on the old version.`,
    canary: `${to} takes some of the requests beside ${from}.`,
    rejected: `${from} serves as before.`,
    'taken-back': `${from} serves again.`,
    unchanged: `${to} serves already.`,
  };
  return (
    <div className={bad ? 'notice bad wide' : 'notice good wide'} role="status">
      <div>
        <VerdictBadge verdict={outcome.verdict} /> {sentence[outcome.verdict]}
        {outcome.reason !== null && <p>{outcome.reason}</p>}
        {outcome.ended_canary !== null && <p>The canary {shortDigest(outcome.ended_canary)} has ended.</p>}
      </div>
    </div>
  );
}
