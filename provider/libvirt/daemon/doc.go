// Package daemon is the connection to a libvirt daemon and what is done over it with a running machine: its power switch,
// its guest agent, its console, and the events by which to wait instead of asking again and again.
package daemon
