// Tables that are sorted by a click on a head. Columns are {key, label, isText, value(record)}.

// By a column, empty values last whichever way.
function sortRecords(records, columns, sort) {
  const column = columns.find(({ key }) => key === sort.key);
  if (!column) return records;
  const sign = sort.isDescending ? -1 : 1;
  return [...records].sort((a, b) => {
    const [one, other] = [column.value(a), column.value(b)];
    if (one === null || other === null) return (one === null) - (other === null);
    return sign * (column.isText ? one.localeCompare(other, "en", { numeric: true }) : one - other);
  });
}

function sortingHeads(columns, sort, onSort) {
  return columns.map((column) => {
    const isSorted = column.key === sort.key;
    const mark = isSorted ? (sort.isDescending ? " ▾" : " ▴") : "";
    const button = htmlElement("button", { type: "button", textContent: column.label + mark, onclick: () => onSort(column) });
    const head = htmlElement("th", { scope: "col", className: column.isText ? "text" : "" }, button);
    head.dataset.key = column.key;
    head.setAttribute("aria-sort", isSorted ? (sort.isDescending ? "descending" : "ascending") : "none");
    return head;
  });
}
