// Round numbers along an axis.

function linearTicks(low, high, pixels) {
  const rough = (high - low) / Math.max(2, pixels / 75);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const ticks = [];
  for (let index = Math.ceil(low / step); index * step <= high; index++) ticks.push(Number((index * step).toPrecision(10)));
  return ticks;
}
