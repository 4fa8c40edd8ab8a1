// Package domainxml turns a declared machine into libvirt's domain XML and reads it back.
//
// Build and Read are each other's inverse as far as a lab can say things: Read(Build(d)) is d. What libvirt fills in on
// its own (addresses, controllers, canonical machine names) is no difference, because Read looks only at what was
// declared and at devices that nobody declared.
//
// The format is libvirt's, https://libvirt.org/formatdomain.html.
package domainxml
