// Reads the page's numbers again and again, and says how old they are.

import { age, clocks as makeClocks } from "./format.js";

const EVERY = 5; // seconds
const LONGEST = 60; // between two tries while the server is silent
const PATIENCE = 10; // seconds for one answer

export class Live {
    constructor(page, show) {
        Object.assign(this, { page, show, failures: 0, timer: null, reading: null, isPaused: false });
        this.exact = makeClocks(page.dataset.zone).exact;
        this.state = page.querySelector(".state");
        this.trouble = page.querySelector(".trouble");
        this.button = page.querySelector(".pause");
        this.at = Number(page.dataset.at);
        this.received = Date.now() / 1000;
        this.button.hidden = false;
        this.button.addEventListener("click", () => this.pause(!this.isPaused));
        this.trouble.querySelector("button").addEventListener("click", () => this.read());
        document.addEventListener("visibilitychange", () => this.turn());
        setInterval(() => this.tellAge(), 1000);
        this.read();
    }

    pause(on) {
        this.isPaused = on;
        this.button.textContent = on ? "Resume" : "Pause";
        this.turn();
    }

    // The tab was hidden or shown, or the button pressed.
    turn() {
        clearTimeout(this.timer);
        if (this.isPaused || document.hidden) {
            this.reading?.abort();
            this.reading = null;
            this.say("paused", "❚❚ Paused");
        } else {
            this.read();
        }
    }

    async read() {
        clearTimeout(this.timer);
        this.reading?.abort();
        const reading = (this.reading = new AbortController());
        const giveUp = setTimeout(() => reading.abort("late"), PATIENCE * 1000);
        try {
            const options = { signal: reading.signal, redirect: "manual" }; // to the page that asks for a password
            const answer = await fetch(this.page.dataset.source + location.search, options);
            if (answer.ok) this.accept(await answer.json());
            else this.fail(answer.type === "opaqueredirect" ? 401 : answer.status);
        } catch {
            if (reading !== this.reading) return; // a later one is under way
            this.fail(0);
        } finally {
            clearTimeout(giveUp);
        }
        if (!this.isPaused && !document.hidden) this.timer = setTimeout(() => this.read(), this.wait() * 1000);
    }

    wait() {
        const seconds = this.failures ? Math.min(EVERY * 2 ** (this.failures - 1), LONGEST) : EVERY;
        this.next = Date.now() / 1000 + seconds;
        return seconds;
    }

    accept(data) {
        this.failures = 0;
        this.at = data.at;
        this.received = Date.now() / 1000;
        this.page.classList.remove("stale");
        this.trouble.hidden = true;
        this.show(data);
        if (this.isPaused || document.hidden) this.say("paused", "❚❚ Paused");
        else this.say("live", "● Live");
    }

    fail(status) {
        this.failures += 1;
        this.page.classList.add("stale");
        const tries = this.failures === 1 ? "1 try" : `${this.failures} tries`;
        const since = `since ${this.exact(this.at)} (${tries})`;
        const [words, reason] = {
            0: ["▲ No answer from the server", `The server has not answered ${since}.`],
            401: ["▲ Signed out", `Nobody has been signed in ${since}: do so in another tab.`],
        }[status] ?? ["▲ No numbers from the server", `The server has answered with status ${status} ${since}.`];
        this.trouble.querySelector(".words").textContent = `${reason} The numbers below are the last ones received.`;
        this.trouble.hidden = false;
        this.say("stale", words);
    }

    // Only the words are read out; the age would never be silent.
    say(state, words) {
        this.state.dataset.state = state;
        const place = this.state.querySelector(".word");
        const [sign, ...rest] = words.split(" ");
        if (place.dataset.words !== words) {
            const mark = document.createElement("span");
            mark.className = "sign";
            mark.setAttribute("aria-hidden", "true");
            mark.textContent = sign;
            place.replaceChildren(mark, ` ${rest.join(" ")}`);
            place.dataset.words = words;
        }
        this.tellAge();
    }

    tellAge() {
        const now = Date.now() / 1000;
        const old = document.createElement("strong");
        old.textContent = `${age(now - this.received)} old`;
        const state = this.state.dataset.state;
        const before = state === "stale" ? `data from ${this.exact(this.at)}, ` : "data ";
        const left = Math.max(0, Math.ceil((this.next ?? now) - now));
        const next = this.isPaused ? "" : ` · next try in ${left} s`;
        const after = { live: ` · every ${EVERY} s`, stale: next }[state] ?? "";
        this.state.querySelector(".age").replaceChildren(before, old, after);
    }
}
