// Tables that are sorted by a click; the choice outlives the arrival of new numbers.

const chosen = new Map();

export function prepare(root) {
    for (const table of root.querySelectorAll("table[id]")) {
        const heads = [...table.querySelectorAll("thead th")];
        heads.forEach((head, index) => {
            if (!("sortable" in head.dataset)) return;
            const button = document.createElement("button");
            button.type = "button";
            button.textContent = head.textContent;
            button.addEventListener("click", () => {
                const before = chosen.get(table.id);
                const descends = before?.index === index ? !before.descends : head.classList.contains("number");
                chosen.set(table.id, { index, descends });
                sort(table, heads);
            });
            head.replaceChildren(button);
        });
        if (chosen.has(table.id)) sort(table, heads);
    }
}

function sort(table, heads) {
    const { index, descends } = chosen.get(table.id);
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[index]?.setAttribute("aria-sort", descends ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].filter((row) => row.cells.length > index);
    rows.sort((one, other) => (descends ? -1 : 1) * compare(one.cells[index], other.cells[index]));
    body.append(...rows);
}

function compare(one, other) {
    if (!("sort" in one.dataset) && !("sort" in other.dataset)) return one.textContent.localeCompare(other.textContent);
    const number = (cell) => ("sort" in cell.dataset ? Number(cell.dataset.sort) : -Infinity);
    return number(one) - number(other);
}
