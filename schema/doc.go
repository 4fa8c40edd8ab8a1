// Package schema holds what a lab is once every value is known: the resources that a lab declares, their addresses,
// and the names, MACs and UUIDs that follow from an address.
//
// It is pure data. It reads no HCL (package schema/config does), touches no system (packages under provider do), and
// imports nothing large, so that the helper inside guests can speak the same types as labctl itself.
//
// Every struct here has JSON tags that are the attribute names of the lab language; a plan's attribute paths, the saved
// plan and the guest protocol all use them.
package schema
