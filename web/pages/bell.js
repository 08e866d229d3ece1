/** Calls the person to the page by a sound, and by a notification if they allow it. */
import { say, visible } from './element.js'
import { Notifier } from './notifier.js'
import { setting } from './setting.js'

const notes = [880, 1174.66]
const noteS = 0.18
// Askers who leave again and again must not ring all the time.
const restMs = 2_000

const phone = matchMedia('(pointer: coarse)').matches
const keepInFront = 'There are no notifications here: keep this page in front.'
const sleeps = ' Phones let hidden pages sleep after some minutes.'

export class Bell {
  #sound
  #notify
  #said
  #notifier
  #rangMs = -restMs
  /** @type {AudioContext | undefined} */
  #audio

  /**
   * @param {HTMLInputElement} sound the checkbox for the sound
   * @param {HTMLButtonElement} notify the button that allows notifications
   * @param {HTMLElement} said
   * @param {{ page?: string, rings?: boolean }} [options] the page, and whether it rings unless turned off
   */
  constructor(sound, notify, said, { page = 'ask', rings = true } = {}) {
    this.#notifier = new Notifier(page)
    this.#sound = sound
    this.#notify = notify
    this.#said = said
    setting(sound, `${page} rings`, rings)
    sound.addEventListener('change', () => sound.checked && this.#play())
    // A page may play sounds only after the user has touched it.
    addEventListener('pointerdown', () => this.#context()?.resume(), { once: true })
    addEventListener('keydown', () => this.#context()?.resume(), { once: true })
    notify.addEventListener('click', () => this.#allow())
    const permission = 'Notification' in window ? Notification.permission : 'denied'
    notify.hidden = permission !== 'default'
    if (permission === 'granted') void this.#notifier.prepare()
    if (permission === 'denied' && phone) say(said, keepInFront)
  }

  /**
   * @param {string} who
   * @param {string} text
   */
  ring(who, text) {
    const now = performance.now()
    if (now - this.#rangMs < restMs) return
    this.#rangMs = now
    this.#play()
    if (!document.hidden || !('Notification' in window)) return
    if (Notification.permission !== 'granted') return
    const title = visible(who ? `${who} asks` : 'A request came')
    this.#notifier
      .show(title, visible(text.slice(0, 200)))
      .catch(() => say(this.#said, keepInFront))
  }

  async #allow() {
    const permission = await Notification.requestPermission()
    this.#notify.hidden = permission !== 'default'
    if (permission === 'granted') {
      void this.#notifier.prepare()
      say(this.#said, `You are notified while this tab is hidden.${phone ? sleeps : ''}`)
    } else say(this.#said, phone ? keepInFront : 'The browser does not allow notifications.')
  }

  #context() {
    if (!this.#sound.checked || !('AudioContext' in window)) return undefined
    this.#audio ??= new AudioContext()
    return this.#audio
  }

  #play() {
    // Earlier sounds would all be played at the first touch of the page.
    if (!navigator.userActivation?.hasBeenActive) return
    const audio = this.#context()
    if (!audio || audio.state === 'closed') return
    notes.forEach((frequency, i) => {
      const at = audio.currentTime + i * noteS
      const gain = new GainNode(audio, { gain: 0 })
      gain.gain.setValueAtTime(0.0001, at)
      gain.gain.exponentialRampToValueAtTime(0.2, at + 0.02)
      gain.gain.exponentialRampToValueAtTime(0.0001, at + noteS * 2)
      const tone = new OscillatorNode(audio, { frequency })
      tone.connect(gain).connect(audio.destination)
      tone.start(at)
      tone.stop(at + noteS * 2)
    })
  }
}
