// The shapes that the modules of the chat page share: what the bridge sends, and what the page keeps.

type Phase = "starting" | "ready" | "working" | "waiting" | "failed";

interface Problem {
  code: string;
  cause: string;
  remedy: string;
}

interface Session {
  id: string;
  title: string;
  cwd: string;
  engine: string | null;
  kiro_id: string | null;
  created_at: string;
  updated_at: string;
  pinned?: boolean;
  archived?: boolean;
  origin?: "bridge" | "kiro";
  model?: string;
  agent?: string;
  effort?: string;
  trust?: "all" | "listed" | "ask";
  trust_tools?: string[];
  phase?: Phase;
  last_line?: string;
  queued?: number;
  transport?: "acp" | "headless" | null;
  deleted?: boolean;
}

interface Turn {
  id: number;
  session_id: string;
  message_id: number;
  prompt: string;
  state: "accepted" | "running" | "completed" | "cancelled" | "failed" | "interrupted";
  origin: "user" | "initial" | "import";
  accepted_at: string;
  changed_at: string;
  ended_at: string | null;
  problem?: Problem;
}

interface Item {
  id: number;
  turn_id: number;
  key?: string;
  kind: string;
  position: number;
  text: string;
  data: Record<string, any>;
  final: boolean;
  recorded: boolean;
  created_at: string;
  updated_at: string;
  blocks?: string[];
}

interface Page {
  items: Item[];
  turns: Turn[];
  last_seq: number;
  more: boolean;
}

interface Status {
  phase: Phase;
  ready: boolean;
  problem?: Problem;
}

interface QueuedPrompt {
  id: number;
  content: string;
  created_at: string;
}

interface Queue {
  prompts: QueuedPrompt[];
  held: boolean;
  reason: string;
}

interface Choice {
  id: string;
  name: string;
  description: string;
  current: boolean;
}

interface Command {
  name: string;
  description: string;
  hint: string;
  choices: boolean;
}

interface Kiro {
  transport: string;
  engine: string | null;
  agents: Choice[];
  models: Choice[];
  efforts: string[];
  commands: Command[];
  features: string[];
}

interface McpServer {
  name: string;
  scope: string;
  enabled: boolean;
  status: string;
  tools: number | null;
  detail: string;
  url: string | null;
}

interface TouchedFile {
  path: string;
  touched: string[];
  at: string;
  size: number | null;
  kind: string;
}

interface Connection {
  phase: "connecting" | "live" | "lost" | "denied";
  since: number;
  status: number;
}

interface Conversation {
  turns: Map<number, Turn>;
  items: Map<number, Item>;
  byTurn: Map<number, Set<number>>;
  more: boolean;
  phase: "loading" | "ready" | "failed";
  problem: string | null;
}

interface Features {
  manage: boolean;
  queue: boolean;
  files: boolean;
  kiro: boolean;
}

interface CommandResult {
  title: string;
  text: string;
}

interface State {
  sessionId: string | null;
  primary: string | null;
  sessions: Map<string, Session>;
  connection: Connection;
  conversation: Conversation;
  status: Status | null;
  queue: Queue | null;
  kiro: Kiro | null;
  features: Features;
  stopping: number | null;
  uploads: number;
  results: CommandResult[];
}

interface Touched {
  slices: Set<string>;
  turns: Set<number>;
  items: Set<number>;
  reset: boolean;
  reload: boolean;
}

type Action =
  | { type: "sessions"; sessions: Session[]; primary: string | null }
  | { type: "open"; sessionId: string }
  | { type: "page"; page: Page; older: boolean }
  | { type: "conversation-problem"; problem: string }
  | { type: "event"; name: string; data: any }
  | { type: "session"; session: Session }
  | { type: "set"; values: Partial<State> }
  | { type: "feature"; name: keyof Features; there: boolean }
  | { type: "result"; result: CommandResult };
