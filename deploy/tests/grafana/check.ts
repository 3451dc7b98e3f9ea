import type { AnnotationQuery, Dashboard } from "@grafana/schema";

// JSON has no enums: each stands for the union of its values.
type Plain<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;

// What Prometheus' annotations have beside those of all sources, which Grafana's schema leaves out.
type OfPrometheus = AnnotationQuery & { expr: string; useValueForTime: "on"; titleFormat: string };

export const dashboard: Plain<Dashboard> & { annotations: { list: Plain<OfPrometheus>[] } } = DASHBOARD;
