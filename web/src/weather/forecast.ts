// The forecast as the weather service sends it, checked once here so that the table can trust it.
import { UnexpectedAnswer } from '../api/failure';
import { getJson } from '../api/http';
import { isObject } from '../api/ndjson';

export interface ForecastDay {
  /** A calendar day, YYYY-MM-DD, without a time zone. */
  readonly date: string;
  readonly temperatureC: number;
  readonly temperatureF: number;
  readonly summary: string;
}

export async function fetchForecast(signal: AbortSignal): Promise<ForecastDay[]> {
  return parseForecast(await getJson('weather/forecast', signal));
}

export function parseForecast(value: unknown): ForecastDay[] {
  if (!Array.isArray(value)) throw new UnexpectedAnswer('The forecast is not a list');
  return value.map((day: unknown) => {
    if (
      !isObject(day) ||
      typeof day.date !== 'string' ||
      typeof day.temperatureC !== 'number' ||
      typeof day.temperatureF !== 'number'
    ) {
      throw new UnexpectedAnswer('A day of the forecast lacks its date or temperatures');
    }
    return {
      date: day.date,
      temperatureC: day.temperatureC,
      temperatureF: day.temperatureF,
      summary: typeof day.summary === 'string' ? day.summary : '',
    };
  });
}

/**
 * "Mon 24 Nov" in the reader's language. Read as UTC and shown as UTC, because `new Date` of a
 * bare day is midnight UTC, which is still the day before in the Americas.
 */
export function dayLabel(date: string, locale?: string): string {
  const day = new Date(`${date}T00:00:00Z`);
  if (Number.isNaN(day.getTime())) return date;
  return new Intl.DateTimeFormat(locale, {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    timeZone: 'UTC',
  }).format(day);
}

export type Warmth = 'freezing' | 'cool' | 'mild' | 'warm' | 'hot';

/** Coarse on purpose: it only colours a dot beside the words. */
export function warmth(temperatureC: number): Warmth {
  if (temperatureC <= 0) return 'freezing';
  if (temperatureC <= 12) return 'cool';
  if (temperatureC <= 22) return 'mild';
  if (temperatureC <= 32) return 'warm';
  return 'hot';
}
