/** Answers of the coordinator, as far as this page reads them. Times are Unix seconds. */

export interface SessionRow {
  session_id: string;
  state: string;
  account: string;
  model: string;
  created_at: number;
  worker?: string;
  client?: string;
  connected_at?: number;
  expires_at?: number;
  ended_at?: number;
  end_reason?: string;
}

export interface TicketRow {
  session_id: string;
  account: string;
  model: string;
  client: string;
  waiting_s: number;
  silent_s: number;
  position?: number;
  length?: number;
  estimated_wait?: number | null;
}

export interface WorkerRow {
  worker: string;
  model: string;
  state: "starting" | "ready" | "draining";
  node: string;
  pooled: boolean;
  slots: number;
  sessions: string[];
  started_at: number;
  silent_s: number;
  pid?: number;
  progress?: number | null;
  text?: string;
}

export interface Overview {
  now_at: number;
  last_event: number;
  sessions: SessionRow[];
  queue: TicketRow[];
  workers: WorkerRow[];
}

export interface KeyRow {
  id: string;
  account: string;
  name: string;
  prefix: string;
  scopes: string[];
  created_at: number;
  used_at?: number;
  revoked_at?: number;
}

export interface UsageRow {
  account: string;
  model: string;
  sessions: number;
  seconds: number;
}

export interface QuotaRow {
  quota_type: string;
  limit: number;
  current?: number;
}

export interface AccountRow {
  account: string;
  weight: number | null;
  quotas: QuotaRow[];
}
