/** A refusal by the server, or a request that never got there (status 0). */
export class RingfenceProblem extends Error {
  /** Stable: `access.not_fresh`, say. */
  readonly code: string;
  readonly status: number;
  /** One sentence for people. */
  readonly detail: string;
  /** What is wrong with each field. */
  readonly fields: Readonly<Record<string, string>>;
  /** Which second factors would do, if one is asked for. */
  readonly factors: readonly Way[];
  /** Under this the server's ledger knows the rest. */
  readonly requestId: string;
  /** Seconds to wait before trying again, if the server has said. */
  readonly retryAfter: number | null;
  /** Read what a response refuses. The response itself can still be read. */
  static from(response: Response): Promise<RingfenceProblem>;
}

export type Way = "password" | "totp" | "recovery-code" | "passkey";

export interface Account {
  readonly id: string;
  readonly email: string;
  readonly roles: readonly string[];
  /** Empty if it belongs to none. */
  readonly tenant: string;
  /** What was proved in this session. */
  readonly factors: readonly string[];
}

export interface Ask {
  /** Why. */
  readonly problem: RingfenceProblem;
  /** Any of these would do. */
  readonly ways: readonly Way[];
  /** Whose proof it is, empty if not known yet. */
  readonly email: string;
  /** Throws a `RingfenceProblem` if the proof is refused. */
  prove(way: Way, value?: string): Promise<void>;
}

export interface Texts {
  title: string;
  why: string;
  password: string;
  totp: string;
  "recovery-code": string;
  usePassword: string;
  useTotp: string;
  useRecoveryCode: string;
  usePasskey: string;
  confirm: string;
  cancel: string;
  /** `{seconds}` is replaced. */
  wait: string;
  passkeyFailed: string;
}

export interface Options {
  /** Where the identity routes are, on this origin: `/auth` unless given. */
  base?: string;
  /** Asks for one more proof; settles with whether it was given. A dialog, unless given. */
  stepUp?(ask: Ask): Promise<boolean>;
  /** Other words for the dialog. */
  texts?: Partial<Texts>;
}

export interface SignedOut {
  /** In this tab, in another one, or by the server. */
  readonly reason: "here" | "elsewhere" | "ended";
}

export interface Ringfence {
  /** As `fetch`, with what this origin asks for. */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  /** Who is signed in, `null` if nobody is. */
  me(): Promise<Account | null>;
  /** Sign in; with `tokens` for short-lived tokens in cookies in place of a session. */
  signIn(who: { email: string; password: string; tokens?: boolean }): Promise<Account | null>;
  /** Sign out: in all tabs, with everything that was opened. */
  signOut(): Promise<void>;
  /** Be told that nobody is signed in any more. Returns what ends that. */
  onSignedOut(listener: (about: SignedOut) => void): () => void;
  /** Open an event stream that ends at sign-out. */
  events(url: string | URL, options?: EventSourceInit): EventSource;
  /** Open a WebSocket that ends at sign-out. */
  socket(url: string | URL, protocols?: string | string[]): WebSocket;
  readonly passkeys: {
    /** Make a passkey for who is signed in. */
    register(label: string): Promise<unknown>;
    /** Sign in without a password. */
    signIn(options?: {
      mediation?: CredentialMediationRequirement;
      signal?: AbortSignal;
    }): Promise<Account | null>;
    /** Prove once more who is signed in, or the second half of a sign-in. */
    verify(): Promise<Account | null>;
  };
}

export function ringfence(options?: Options): Ringfence;
