// A speed is only worth showing once it means something, and must follow a slow-down.
import { expect, test } from 'vitest';
import { SpeedMeter } from './speed';

test('says nothing before it has seen enough', () => {
  const meter = new SpeedMeter();
  expect(meter.bytesPerSecond()).toBeUndefined();
  meter.add(0, 0);
  meter.add(100, 1_000_000);
  expect(meter.bytesPerSecond()).toBeUndefined();
});

test('averages over the last five seconds only', () => {
  const meter = new SpeedMeter();
  for (let second = 0; second <= 10; second += 1) meter.add(second * 1000, second * 1000);
  expect(meter.bytesPerSecond()).toBe(1000);
  for (let second = 11; second <= 16; second += 1) meter.add(second * 1000, 10_000);
  expect(meter.bytesPerSecond()).toBe(0);
});
