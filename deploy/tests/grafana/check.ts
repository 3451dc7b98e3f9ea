import type { Dashboard } from "@grafana/schema";

// JSON has no enums: each stands for the union of its values.
type Plain<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;

export const dashboard: Plain<Dashboard> = DASHBOARD;
