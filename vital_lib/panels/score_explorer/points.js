// The rows of the explorer as columns of numbers, and what a cut keeps of them. Rows are best first.
const BINS = 44;
export const columnOf = (Kind, view) =>
  new Kind(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));

export class Points {
  constructor({ facets, curves }, [scores, sets, ratings, others, ...codes]) {
    this.scores = columnOf(Float32Array, scores);
    this.sets = columnOf(Uint8Array, sets);
    this.ratings = columnOf(Float32Array, ratings);
    this.others = columnOf(Float32Array, others);
    this.rated = this.ratings.some((value) => !Number.isNaN(value));
    this.compared = this.others.some((value) => !Number.isNaN(value));
    this.ordered = new Map();
    Object.assign(this, { facets, curves });
    Object.values(facets).forEach((facet, place) => {
      facet.codes = columnOf(Uint16Array, codes[place]);
    });
    this.range = [this.scores.at(-1), this.scores[0]];
    const [low, high] = this.range, width = (high - low || 1) / BINS;
    this.edges = Array.from({ length: BINS + 1 }, (_, i) => low + i * width);
    this.bins = Uint8Array.from(this.scores, (score) => Math.min(BINS - 1, (score - low) / width));
  }
  // Which sets a row is in: bit number `place` in the order in which the kernel names the sets.
  in(set) {
    const bit = 1 << set;
    return (row) => (this.sets[row] & bit) !== 0;
  }
  // The place of each row of a set by a column: the share of the set's rows below it, in percent.
  places(set, name) {
    const key = `${set} ${name}`;
    if (!this.ordered.has(key)) {
      const values = this[name], inside = this.in(set), rows = [];
      values.forEach((value, row) => { if (inside(row) && !Number.isNaN(value)) rows.push(row); });
      rows.sort((a, b) => values[a] - values[b]);
      const places = new Float32Array(values.length).fill(NaN);
      for (let first = 0, last; first < rows.length; first = last) {  // equal values share a place
        last = first + 1;
        while (last < rows.length && values[rows[last]] === values[rows[first]]) last += 1;
        const place = 50 * (first + last - 1) / Math.max(1, rows.length - 1);
        for (let at = first; at < last; at += 1) places[rows[at]] = place;
      }
      this.ordered.set(key, places);
    }
    return this.ordered.get(key);
  }
  number(set, kept) {
    const inside = this.in(set);
    return this.sets.reduce((sum, _, row) => sum + (inside(row) && kept(row) ? 1 : 0), 0);
  }
  // Rows of a set by group and bin, and how many of each are kept.
  histogram(set, name, kept) {
    const { codes, names } = this.facets[name], inside = this.in(set);
    const counts = names.map(() => ({ all: new Uint32Array(BINS), kept: new Uint32Array(BINS) }));
    for (let row = 0; row < codes.length; row += 1) {
      if (!inside(row)) continue;
      const own = counts[codes[row]], bin = this.bins[row];
      own.all[bin] += 1;
      if (kept(row)) own.kept[bin] += 1;
    }
    return counts;
  }
  // Rows of a set by group: how many there are, how many are kept, and the median score.
  groups(set, name, kept) {
    const { codes, names } = this.facets[name], inside = this.in(set);
    const found = names.map(() => ({ all: 0, kept: 0, scores: [] }));
    for (let row = 0; row < codes.length; row += 1) {
      if (!inside(row)) continue;
      const own = found[codes[row]];
      own.all += 1;
      if (kept(row)) own.kept += 1;
      own.scores.push(this.scores[row]);
    }
    return found;
  }
}

// What each share keeps: row i if its place in its group is below the quota of the group.
export class Cut {
  constructor(steps, [groups, places, grid, lines, shares]) {
    this.groups = columnOf(Int32Array, groups);
    this.places = columnOf(Int32Array, places);
    this.grid = columnOf(Int32Array, grid);
    this.lines = columnOf(Float32Array, lines);
    this.shares = columnOf(Float64Array, shares);
    this.width = this.grid.length / steps;
  }
  quota(step) { return this.grid.subarray(step * this.width, (step + 1) * this.width); }
  keeps(quota) { return (row) => this.places[row] < quota[this.groups[row]]; }
  // The step whose line is closest to a score; lines fall as shares grow.
  stepAt(score) {
    let low = 0, high = this.lines.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.lines[middle] > score) low = middle + 1; else high = middle;
    }
    return low && this.lines[low - 1] - score < score - this.lines[low] ? low - 1 : low;
  }
  stepOf(share) {
    let best = 0;
    this.shares.forEach((each, step) => {
      if (Math.abs(each - share) < Math.abs(this.shares[best] - share)) best = step;
    });
    return best;
  }
}
