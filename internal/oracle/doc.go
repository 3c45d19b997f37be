// Package oracle is a second, slow reading of EQL, which shares no code with the product, neither parser nor functions nor
// machine. Search finds sequences by looking at all events again and again; the tests of internal/chaos compare what a
// group of members published with it.
//
// The package's own tests check `weir query` and `weir backtest`: they make random queries as data and random documents, print
// both, and compare the product's answer with that of a naive evaluator. Only the printed text and the documents' bytes meet.
package oracle
