// Which class was on while errors of another happened, as a table of counts.

const NOTHING = -1;
const MAX_SHOWN = 20; // rows, and columns

function totals(cells, part) {
  const sums = new Map();
  for (const cell of cells) sums.set(cell[part], (sums.get(cell[part]) ?? 0) + cell[2]);
  return sums;
}

// Columns of the table: nothing first, then classes with the most errors.
function largest(sums) {
  return [...sums.keys()].sort((a, b) => (b === NOTHING) - (a === NOTHING) || sums.get(b) - sums.get(a) || a - b).slice(0, MAX_SHOWN);
}

function otherName(classes, other) {
  return other === NOTHING ? "nothing" : classes[other].label;
}

// Cells [class, other, count]; `onChoose(class, other)` is called for a cell that is clicked.
function drawConfusion(table, cells, classes, onChoose) {
  const sums = totals(cells, 0);
  const rows = largest(sums);
  const columns = largest(totals(cells, 1));
  const counts = new Map(cells.map(([column, other, count]) => [`${column} ${other}`, count]));
  const heads = columns.map((other) => htmlElement("th", { scope: "col" }, htmlElement("span", { textContent: otherName(classes, other) })));
  table.tHead.replaceChildren(htmlElement("tr", {}, htmlElement("td", {}), ...heads));
  table.tBodies[0].replaceChildren(...rows.map((column) => htmlElement("tr", {}, htmlElement("th", { scope: "row", textContent: classes[column].label }), ...columns.map((other) => {
    const count = counts.get(`${column} ${other}`);
    const cell = htmlElement("td", { className: column === other ? "own" : "" });
    if (!count) return cell;
    cell.style.setProperty("--share", count / sums.get(column));
    cell.append(htmlElement("button", { type: "button", textContent: count, title: `${classes[column].label}, while ${otherName(classes, other)}: ${count} of ${sums.get(column)}`, onclick: () => onChoose(column, other) }));
    return cell;
  }))));
  const shown = cells.filter(([column, other]) => rows.includes(column) && columns.includes(other));
  const count = (some) => some.reduce((sum, cell) => sum + cell[2], 0);
  return count(cells) - count(shown);
}
