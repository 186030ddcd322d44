// The results as an SVG bar chart: how many times faster our engine is than ONNX Runtime, per model and thread count.
export function chart(results, machine) {
  const rows = results.filter((r) => r.ratio);
  const names = [...new Set(rows.map((r) => r.model))];
  const threads = [...new Set(rows.map((r) => r.threads))];
  const colours = ['#1f6feb', '#9ec5fe', '#b392f0', '#6a737d'];
  const [left, right, bar, gap, top] = [190, 60, 12, 10, 60];
  const group = bar * threads.length + gap;
  const longest = Math.max(1.5, ...rows.map((r) => r.ratio));
  const width = 760;
  const height = top + names.length * group + 30;
  const x = (ratio) => left + (ratio / longest) * (width - left - right);
  const text = (tx, ty, content, extra = '') => `<text x="${tx.toFixed(1)}" y="${ty.toFixed(1)}" ${extra}>${content.replace(/&/g, '&amp;').replace(/</g, '&lt;')}</text>`;
  const parts = [text(16, 24, 'Speed relative to ONNX Runtime (batch 1, fp32)', 'font-size="16" font-weight="600"'), text(16, 42, machine, 'fill="#57606a"')];
  threads.forEach((count, i) => {
    parts.push(`<rect x="${width - 190 + i * 90}" y="32" width="12" height="12" fill="${colours[i]}"/>`, text(width - 173 + i * 90, 42, `${count} thread${count > 1 ? 's' : ''}`));
  });
  names.forEach((name, n) => {
    const y = top + n * group;
    parts.push(text(left - 8, y + group / 2, name, 'text-anchor="end"'));
    threads.forEach((count, i) => {
      const row = rows.find((r) => r.model === name && r.threads === count);
      if (!row) return;
      const by = y + i * bar;
      parts.push(`<rect x="${left}" y="${by}" width="${(x(row.ratio) - left).toFixed(1)}" height="${bar - 2}" fill="${colours[i]}"/>`);
      parts.push(text(x(row.ratio) + 4, by + bar - 3, `${row.ratio.toFixed(2)}×`, 'font-size="10"'));
    });
  });
  parts.push(`<line x1="${x(1).toFixed(1)}" y1="${top - 6}" x2="${x(1).toFixed(1)}" y2="${height - 24}" stroke="#cf222e" stroke-dasharray="4 3"/>`);
  parts.push(text(x(1), height - 10, 'ONNX Runtime', 'text-anchor="middle" fill="#cf222e"'));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>${parts.join('')}</svg>\n`;
}
