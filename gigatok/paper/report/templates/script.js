"use strict";
// Sorting: a heading orders the rows of every group by data-value (numbers) or text; rows without a value stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => {
    const ascending = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const key = (row) => row.cells[place].dataset.value ?? row.cells[place].textContent.trim();
    const missing = (value) => value === "" || value === "not run";
    const order = (one, two) => {
      const [a, b] = [key(one), key(two)];
      if (missing(a) || missing(b)) return missing(a) - missing(b);
      const found = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
      return ascending ? found : -found;
    };
    for (const body of table.tBodies) body.append(...[...body.rows].filter((row) => row.className !== "group").sort(order));
  }));
}
// The switch of a table shows the columns that its first view leaves out.
for (const button of document.querySelectorAll("button.switch")) {
  const table = document.getElementById(button.getAttribute("aria-controls"));
  button.hidden = false;
  button.addEventListener("click", () => button.setAttribute("aria-pressed", table.classList.toggle("all")));
}
