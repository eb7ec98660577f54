// The forecast table. Loading, no data and failure look different, so that a broken database is
// never mistaken for an empty one.
import { FailureNotice } from '../shared/FailureNotice';
import { useLoad } from '../shared/useLoad';
import { dayLabel, fetchForecast, type ForecastDay, warmth } from './forecast';

export function WeatherSection() {
  const { data, failure, loading, reload } = useLoad(fetchForecast);
  const retry = () => void reload();

  return (
    <section id="weather" className="panel" aria-labelledby="weather-title" tabIndex={-1}>
      <header className="panel-header">
        <h2 id="weather-title">Weather</h2>
        <button type="button" onClick={retry} aria-busy={loading}>
          Refresh
        </button>
      </header>
      <p role="status" className="visually-hidden">
        {loading ? 'Loading the forecast' : failure ? '' : `Forecast for ${data?.length ?? 0} days`}
      </p>
      {failure ? (
        <FailureNotice failure={failure} onRetry={retry} />
      ) : !data ? (
        <SkeletonTable />
      ) : data.length === 0 ? (
        <p className="empty">The forecast has no days yet.</p>
      ) : (
        <ForecastTable days={data} />
      )}
    </section>
  );
}

function ForecastTable({ days }: { readonly days: readonly ForecastDay[] }) {
  return (
    <table className="forecast">
      <thead>
        <tr>
          <th scope="col">Date</th>
          <th scope="col" className="number">
            Temp. (°C)
          </th>
          <th scope="col" className="number">
            Temp. (°F)
          </th>
          <th scope="col">Summary</th>
        </tr>
      </thead>
      <tbody>
        {days.map((day) => (
          <tr key={day.date}>
            <th scope="row">
              <time dateTime={day.date}>{dayLabel(day.date)}</time>
            </th>
            <td className="number">{day.temperatureC}</td>
            <td className="number">{day.temperatureF}</td>
            <td>
              <span className="dot" data-warmth={warmth(day.temperatureC)} aria-hidden="true" />
              {day.summary}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** As tall as the table that replaces it, so that nothing below it jumps. */
function SkeletonTable() {
  return (
    <div className="skeleton" aria-hidden="true">
      {Array.from({ length: 6 }, (_, row) => (
        <span key={row} />
      ))}
    </div>
  );
}
