// Package chaos proves exactly-once delivery with processes of weir run on a real Kafka broker. A run sends a script of
// events, while members are killed, stopped, cut off and given damaged stores, and the broker is slow or restarted; then it
// compares the alerts on the topic with what a search over all events finds. docs/chaos.md says what is done and checked.
//
// Only the program in cmd uses it. It is empty on systems without the signals that it sends.
package chaos
