// Package oracle checks `weir query` and `weir backtest` against a second, slow reading of EQL: its tests make random queries as data
// and random documents, print both, and compare the product's answer with that of a naive evaluator. The evaluator shares no code
// with the product, neither parser nor functions nor machine: only the printed text and the documents' bytes meet.
package oracle
