// Brings the page of a job to life: copies its ids, and follows it while it runs.

import { put } from "../observability/fragments.js";
import { Live } from "../observability/live.js";

const TOLD = 2; // seconds that "Copied" stands
const content = document.querySelector(".observability");
const page = content.querySelector(".page");
page.classList.add("scripted");

// A page without TLS has no clipboard, but what is selected can be copied.
async function copy(code) {
    if (navigator.clipboard) return navigator.clipboard.writeText(code.textContent);
    getSelection().selectAllChildren(code);
    document.execCommand("copy");
}

content.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    await copy(button.parentElement.querySelector("code"));
    const word = button.firstChild;
    word.textContent = "Copied";
    page.querySelector(".copied").textContent = button.textContent;
    setTimeout(() => (word.textContent = "Copy"), TOLD * 1000);
});

// Ends with the job.
class Follower extends Live {
    accept(data) {
        super.accept(data);
        if (!data.ended) return;
        this.isPaused = this.hasEnded = true;
        this.state.dataset.state = "still";
        this.state.querySelector(".word").textContent = "The job has ended";
        this.state.querySelector(".age").textContent = "";
        this.button.hidden = true;
    }

    turn() {
        if (!this.hasEnded) super.turn();
    }

    tellAge() {
        if (!this.hasEnded) super.tellAge();
    }
}

if (page.dataset.source) {
    new Follower(page, (data) => {
        for (const [name, html] of Object.entries(data.fragments)) put(content, name, html);
    });
}
