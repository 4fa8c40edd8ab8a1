// Package libvirt makes, changes and removes the machines and networks of a lab through libvirt, and reaches into running
// machines: their guest agent, their console, their power switch.
//
// A domain carries labctl's mark in its <metadata>, so libvirt itself is the only record of what is there. A definition is
// changed by defining over the old one, never by undefining; what runs is changed in place where libvirt can, and read
// back afterwards, because a return code of zero proves nothing here.
package libvirt
