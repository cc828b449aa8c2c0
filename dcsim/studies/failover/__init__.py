"""Failover: would the site survive the loss of each feed, UPS and PDU?"""
